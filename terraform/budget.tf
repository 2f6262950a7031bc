# The mail before the bill.

module "budget" {
  source   = "./modules/budget"
  for_each = var.monthly_budget_usd == null ? toset([]) : toset(["monthly"])

  name        = local.prefix
  limit_usd   = var.monthly_budget_usd
  project     = var.project
  subscribers = [for address, categories in var.subscribers : address if contains(categories, "alarm")]
}
