# Production: two instances at least, in two zones, and data that survives a destroy.

environment  = "prod"
protect_data = true

endpoint = {
  instance_type  = "ml.m5.large"
  instance_count = 2
  # 100 invocations a second for each instance: far less than one can answer (the model takes about 1 ms of one core),
  # so that one instance can carry the load of a lost one. Not measured on this type: load-test it, then set your own.
  scaling = { min = 2, max = 6, target = 6000 }
  # A new model answers half of the pictures for five minutes before it answers all.
  blue_green = { traffic = "canary", percent = 50, wait_seconds = 300 }
}

# Last year's figures stay at hand until this year's are complete.
log_retention_days    = 365
ledger_retention_days = 730

# Each address gets one mail from AWS and must confirm it. "digest": one message a day that counts all waiting pictures,
# in place of one for each.
subscribers = {
  # "operations@your-organisation.example" = ["system", "alarm", "batch", "drift"]
  # "pictures@your-organisation.example"   = ["digest"]
}

# A mail before the bill; needs a subscriber of "alarm". `make plan ENV=prod` estimates what a month costs.
# monthly_budget_usd = 300

# Needed where the policies of terraform/bootstrap deploy; its output permissions_boundary_arns says it.
# permissions_boundary_arn = "arn:aws:iam::111122223333:policy/scones-boundary-prod"
