# The one-machine AWS: the same workflow without an account.

environment  = "local"
package_dir  = "../build/local"
protect_data = false

log_retention_days    = 1
ledger_retention_days = 7

subscribers = {
  "operations@example.com" = ["system", "alarm", "batch", "drift"]
  "pictures@example.com"   = ["low_confidence", "rejected"]
  "review@example.com"     = ["digest"]
}

# Nothing is billed here; it is set so that every apply on one machine makes a budget, too.
monthly_budget_usd = 50
