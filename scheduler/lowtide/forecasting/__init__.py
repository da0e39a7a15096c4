"""History and issued forecasts -> a forecast with error bands. No I/O."""
