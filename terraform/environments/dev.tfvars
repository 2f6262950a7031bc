# Development: one cheap instance, and destroy leaves nothing behind.

environment  = "dev"
protect_data = false

log_retention_days    = 14
ledger_retention_days = 90

# Each address gets one mail from AWS and must confirm it.
subscribers = {
  # "you@your-organisation.example" = ["low_confidence", "rejected", "system", "alarm", "batch", "drift"]
}

# Needed where the policies of terraform/bootstrap deploy; its output permissions_boundary_arns says it.
# permissions_boundary_arn = "arn:aws:iam::111122223333:policy/scones-boundary-dev"
