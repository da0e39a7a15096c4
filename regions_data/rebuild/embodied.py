"""``odbl/server_embodied.csv``: embodied emissions of a server per CPU socket, from published life-cycle sheets."""

from __future__ import annotations

from pathlib import Path
from statistics import quantiles

from inputs import number, read_csv, run, write_csv


def build(source: Path, target: Path) -> None:
    """Quantiles over all sheets that state an embodied figure and a number of sockets."""
    per_socket = []
    for row in read_csv(source, "power/server_lca_boavizta.csv"):
        embodied_kg, sockets = number(row["embodied_kgco2e"]), number(row["number_cpu"])
        if embodied_kg and sockets:
            per_socket.append(embodied_kg / sockets)
    p10, *_, p90 = quantiles(per_socket, n=10)
    median = quantiles(per_socket, n=2)[0]
    columns = ["sheets", "embodied_kg_per_socket_p10", "embodied_kg_per_socket_median", "embodied_kg_per_socket_p90"]
    write_csv(target / "odbl" / "server_embodied.csv", columns, [[len(per_socket), p10, median, p90]])


if __name__ == "__main__":
    run(build)
