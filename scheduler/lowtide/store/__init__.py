"""What must survive a crash: jobs and events, signal vintages, readings, settlements."""
