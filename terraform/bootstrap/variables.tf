# Required

variable "github_repository" {
  type        = string
  description = "Repository on GitHub whose workflows may plan and apply, as owner/name."

  validation {
    condition = can(regex("^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = join(" ", [
      "github_repository is \"${var.github_repository}\": give owner/name, such as octo-org/scones;",
      "roles trust this repository alone, so an address or a wildcard will not do.",
    ])
  }
}

# Optional

variable "project" {
  type        = string
  default     = "scones"
  description = "First half of every resource's name; the same as in terraform/variables.tf."

  validation {
    condition = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.project)) && length(var.project) <= 20
    error_message = join(" ", [
      "project is \"${var.project}\": use at most 20 lower-case letters, digits and single inner dashes, starting",
      "with a letter, as in terraform/.",
    ])
  }
}

variable "environments" {
  type        = set(string)
  default     = ["dev", "prod"]
  description = <<-EOT
    Environments that are deployed into this account.
    Each gets an apply role and a boundary that reach its own resources only.
  EOT

  validation {
    condition = length(var.environments) > 0 && alltrue([
      for name in var.environments : can(regex("^[a-z][a-z0-9]{1,11}$", name))
    ])
    error_message = join(" ", [
      "environments is ${jsonencode(var.environments)}: name at least one, each of 2-12 lower-case letters and",
      "digits, starting with a letter, as in terraform/environments.",
    ])
  }
  validation {
    condition = length(setintersection(var.environments, ["apply", "ci", "plan", "state"])) == 0
    error_message = join(" ", [
      "environments is ${jsonencode(var.environments)}: \"apply\", \"ci\", \"plan\" and \"state\" are reserved,",
      "because this module gives these names to roles and its bucket; choose another name, such as \"staging\".",
    ])
  }
  validation {
    condition = length(var.environments) <= 5
    error_message = join(" ", [
      "environments has ${length(var.environments)} names: the role that plans carries two policies for each, and AWS",
      "allows ten; deploy the others into a second account.",
    ])
  }
}

variable "region" {
  type        = string
  default     = "us-east-1"
  description = "AWS region of the state bucket and of what is deployed."

  validation {
    condition = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = join(" ", [
      "region is \"${var.region}\", which is not a region name such as eu-central-1;",
      "list yours with: aws account list-regions --query 'Regions[].RegionName'.",
    ])
  }
}

variable "existing_oidc_provider_arn" {
  type        = string
  default     = null
  description = <<-EOT
    ARN of the account's identity provider for token.actions.githubusercontent.com, of which there can be only one.
    null, the default, creates it.
  EOT

  validation {
    condition = var.existing_oidc_provider_arn == null || can(regex(
      "^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/token[.]actions[.]githubusercontent[.]com$",
      var.existing_oidc_provider_arn,
    ))
    error_message = join(" ", [
      "existing_oidc_provider_arn is ${jsonencode(var.existing_oidc_provider_arn)}: give the ARN of the provider",
      "token.actions.githubusercontent.com; see: aws iam list-open-id-connect-providers.",
    ])
  }
}
