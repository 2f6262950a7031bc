# Production: two instances at least, in two zones, and data that survives a destroy.

environment = "prod"

endpoint = {
  instance_type  = "ml.m5.large"
  instance_count = 2
  # Half of what was measured for one core of it, so that a second instance carries the load of a lost one.
  scaling = { min = 2, max = 6, target = 6000 }
}

log_retention_days = 90

# Each address gets one mail from AWS and must confirm it.
subscribers = {
  # "operations@your-organisation.example" = ["system", "alarm", "batch", "drift"]
  # "pictures@your-organisation.example"   = ["low_confidence", "rejected"]
}
