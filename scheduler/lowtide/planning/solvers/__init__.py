"""Arrays -> the best runs: each question of one job, or of many that share nothing, solved by itself."""
