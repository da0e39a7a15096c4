"""Facts with their sources: cloud regions, grid zones, accelerators, power, PUE, network, embodied carbon, climatology."""
