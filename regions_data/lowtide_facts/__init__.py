"""Facts with their sources: regions, zones, accelerators, power, PUE, network, embodied carbon, climatology."""
