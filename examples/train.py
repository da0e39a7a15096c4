"""A small real training job: a two-layer network learns to tell two interleaved spirals apart, for about 15 seconds.

    python examples/train.py [--seconds 15] [--width 256]

It needs numpy alone and prints its loss once a second, so that there is something to measure and something to read.
"""

from __future__ import annotations

import argparse
import time

import numpy as np


def spirals(points: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two spirals with noise: inputs (2 x points, 2) and labels (2 x points, 1), 0 or 1."""
    angle = 3 * np.pi * np.sqrt(rng.random(points))
    arms = []
    for turn in (0.0, np.pi):
        arm = angle[:, None] / (3 * np.pi) * np.stack([np.cos(angle + turn), np.sin(angle + turn)], axis=1)
        arms.append(arm + rng.normal(scale=0.01, size=arm.shape))
    labels = np.repeat([0.0, 1.0], points)[:, None]
    return np.concatenate(arms), labels


def train(seconds: float, width: int) -> float:
    """Trains with full-batch Adam until the time is up; returns the share of points told apart."""
    rng = np.random.default_rng(0)
    inputs, labels = spirals(2000, rng)
    shapes = [(2, width), (width,), (width, width), (width,), (width, 1), (1,)]
    weights = [
        rng.normal(scale=(2 / shape[0]) ** 0.5, size=shape) if len(shape) == 2 else np.zeros(shape) for shape in shapes
    ]
    first, second = [np.zeros_like(w) for w in weights], [np.zeros_like(w) for w in weights]
    started, told, step = time.monotonic(), 0.0, 0
    accuracy = 0.0
    while time.monotonic() - started < seconds:
        step += 1
        hidden_1 = np.maximum(inputs @ weights[0] + weights[1], 0)
        hidden_2 = np.maximum(hidden_1 @ weights[2] + weights[3], 0)
        output = 1 / (1 + np.exp(-np.clip(hidden_2 @ weights[4] + weights[5], -30, 30)))
        error = (output - labels) / len(labels)
        back_2 = (error @ weights[4].T) * (hidden_2 > 0)
        back_1 = (back_2 @ weights[2].T) * (hidden_1 > 0)
        gradients = [
            inputs.T @ back_1, back_1.sum(0), hidden_1.T @ back_2, back_2.sum(0), hidden_2.T @ error, error.sum(0),
        ]  # fmt: skip
        for i, gradient in enumerate(gradients):
            first[i] += 0.1 * (gradient - first[i])
            second[i] += 0.001 * (gradient**2 - second[i])
            scale = np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8
            weights[i] -= 0.003 * first[i] / (1 - 0.9**step) / scale
        if time.monotonic() - started >= told + 1:
            told = time.monotonic() - started
            loss = -np.mean(labels * np.log(output + 1e-12) + (1 - labels) * np.log(1 - output + 1e-12))
            accuracy = float(np.mean((output > 0.5) == labels))
            print(f"{told:5.1f} s  step {step:5d}  loss {loss:.4f}  accuracy {accuracy:.3f}", flush=True)
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--width", type=int, default=128)
    options = parser.parse_args()
    print(f"told apart: {100 * train(options.seconds, options.width):.1f} %")
