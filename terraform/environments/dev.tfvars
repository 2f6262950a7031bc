# Development: one cheap instance, and destroy leaves nothing behind.

environment  = "dev"
protect_data = false

log_retention_days    = 14
ledger_retention_days = 90

# Each address gets one mail from AWS and must confirm it.
subscribers = {
  # "you@your-organisation.example" = ["low_confidence", "rejected", "system", "alarm", "batch", "drift"]
}
