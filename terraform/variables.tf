# Required

variable "environment" {
  type        = string
  description = <<-EOT
    Name of this deployment, the second half of every resource's name: "local" (the one-machine AWS), "dev", "prod".
    No default, so that nobody plans for the wrong one by accident.
  EOT

  validation {
    condition = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = join(" ", [
      "environment is \"${var.environment}\": it becomes part of bucket and endpoint names (at most 63 characters),",
      "so use 2-12 lower-case letters and digits, starting with a letter; pass -var-file=environments/dev.tfvars.",
    ])
  }
  validation {
    condition = !contains(["apply", "ci", "plan", "state"], var.environment)
    error_message = join(" ", [
      "environment is \"${var.environment}\": \"apply\", \"ci\", \"plan\" and \"state\" are reserved, because",
      "terraform/bootstrap gives these names to roles and a bucket; choose another name, such as \"staging\".",
    ])
  }
}

# Names and placement

variable "project" {
  type        = string
  default     = "scones"
  description = <<-EOT
    First half of every resource's name, and the value of the tag "project".
    Change it to deploy two projects into one account.
  EOT

  validation {
    condition = can(regex("^[a-z][a-z0-9]*(-[a-z0-9]+)*$", var.project)) && length(var.project) <= 20
    error_message = join(" ", [
      "project is \"${var.project}\": it becomes part of bucket and endpoint names (at most 63 characters), so use at",
      "most 20 lower-case letters, digits and single inner dashes, starting with a letter.",
    ])
  }
}

variable "region" {
  type        = string
  default     = "us-east-1"
  description = "AWS region of every resource. us-east-1 has the lowest prices and every SageMaker instance type."

  validation {
    condition = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = join(" ", [
      "region is \"${var.region}\", which is not a region name such as eu-central-1;",
      "list yours with: aws account list-regions --query 'Regions[].RegionName'.",
    ])
  }
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = <<-EOT
    Tags put on every resource, for example an owner and a cost centre.
    project, environment and managed_by are added, and override tags with the same name.
  EOT
}

# What is served

variable "model" {
  type = object({
    name                = string
    artifact_uri        = string
    sha256              = string
    image_uri           = string
    labels              = list(string)
    classes_of_interest = list(string)
    threshold           = number
    input_size          = number
    former              = optional(map(number), {})
  })
  default     = null
  description = <<-EOT
    The published model, written by `scones promote` to environments/<environment>.model.tfvars.json.
    artifact_uri, sha256: S3 URI of model.tar.gz, and its hash.
    image_uri: the serving image, by digest.
    labels: in the order of the model's answers. classes_of_interest: those that are accepted.
    threshold: the recommended one, a probability. input_size: pixels.
    former: models that may still answer beside this one, each with its own threshold.
    null, the default, switches the endpoint and the S3 trigger off: nothing is billed by the hour.
  EOT

  validation {
    condition = var.model == null || can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$", var.model.name))
    error_message = join(" ", [
      "model.name is ${jsonencode(try(var.model.name, null))}: the endpoint gives it with each answer, so use only",
      "letters, digits and hyphens, 63 at most; take it from the artifact's model.json.",
    ])
  }
  validation {
    condition = var.model == null || can(regex("^s3://[a-z0-9.-]{3,63}/.+[.]tar[.]gz$", var.model.artifact_uri))
    error_message = join(" ", [
      "model.artifact_uri is \"${try(var.model.artifact_uri, "")}\": SageMaker loads a .tar.gz from S3, such as",
      "s3://bucket/models/name/model.tar.gz; publish the artifact with: scones promote.",
    ])
  }
  validation {
    condition = var.model == null || can(regex("^[0-9a-f]{64}$", var.model.sha256))
    error_message = join(" ", [
      "model.sha256 is \"${try(var.model.sha256, "")}\": it must be the artifact's 64 hex digits, because they name",
      "the deployed model and roll it out when they change; see: sha256sum model.tar.gz.",
    ])
  }
  validation {
    condition = var.model == null || can(regex("@sha256:[0-9a-f]{64}$", var.model.image_uri))
    error_message = join(" ", [
      "model.image_uri is \"${try(var.model.image_uri, "")}\": name the image by digest (repository@sha256:...),",
      "because a moved tag changes what is served without a plan; push one with: scones image.",
    ])
  }
  validation {
    condition = var.model == null || try(
      length(var.model.labels) >= 2 && length(distinct(var.model.labels)) == length(var.model.labels),
      false,
    )
    error_message = join(" ", [
      "model.labels is ${jsonencode(try(var.model.labels, null))}: a classifier has at least two labels, each once,",
      "in the order of its answers; take them from the artifact's model.json.",
    ])
  }
  validation {
    condition = var.model == null || try(
      length(var.model.classes_of_interest) > 0 &&
      length(setsubtract(var.model.classes_of_interest, var.model.labels)) == 0,
      false,
    )
    error_message = join(" ", [
      "model.classes_of_interest is ${jsonencode(try(var.model.classes_of_interest, null))}: it must name at least",
      "one of the labels ${jsonencode(try(var.model.labels, null))}, or no picture could ever be accepted.",
    ])
  }
  validation {
    condition     = var.model == null || try(var.model.threshold > 0 && var.model.threshold <= 1, false)
    error_message = "model.threshold is ${try(var.model.threshold, "null")}: it is a probability above 0 and at most 1."
  }
  validation {
    condition = var.model == null || alltrue([
      for name, threshold in try(var.model.former, {}) :
      can(regex("^[a-zA-Z0-9-]+$", name)) && try(threshold > 0 && threshold <= 1, false)
    ])
    error_message = join(" ", [
      "model.former is ${jsonencode(try(var.model.former, {}))}: for the name of each model that the current one",
      "replaces it gives the threshold, a probability above 0 and at most 1;",
      "`scones promote` and `scones rollback` write it.",
    ])
  }
  validation {
    condition = var.model == null || try(
      var.model.input_size >= 8 && var.model.input_size <= 240 && floor(var.model.input_size) == var.model.input_size,
      false,
    )
    error_message = join(" ", [
      "model.input_size is ${try(var.model.input_size, "null")}: it is the side of the model's square input, a whole",
      "number of 8 to 240 pixels (the PNG of a larger one may not fit the 256 KiB between two states).",
    ])
  }
}

variable "threshold" {
  type        = number
  default     = null
  description = <<-EOT
    Lowest accepted confidence (probability, above 0 and at most 1), for every model, also for the former one during a
    roll-out. null, the default, takes each model's own recommendation, which was chosen for its accuracy on held-out
    pictures.
  EOT

  validation {
    condition = var.threshold == null || try(var.threshold > 0 && var.threshold <= 1, false)
    error_message = join(" ", [
      "threshold is ${coalesce(var.threshold, 0)}: it is a probability above 0 and at most 1 (0.93, not 93);",
      "set it to null for the model's own recommendation.",
    ])
  }
}

variable "endpoint" {
  type = object({
    enabled            = optional(bool, true)
    instance_type      = optional(string, "ml.t2.medium")
    instance_count     = optional(number, 1)
    scaling            = optional(object({ min = number, max = number, target = number }))
    serverless         = optional(object({ memory_mb = number, max_concurrency = number }))
    capture_percentage = optional(number, 100)
    blue_green = optional(object({
      traffic      = string
      percent      = optional(number)
      wait_seconds = optional(number, 0)
    }))
  })
  default     = {}
  nullable    = false
  description = <<-EOT
    How the model is hosted.
    enabled: true by default. false removes the endpoint and with it what is billed by the hour; pictures wait until it
      is back.
    instance_type, instance_count: a provisioned endpoint. ml.t2.medium is the cheapest (about $0.06 an hour), and one
      core answers hundreds of pictures a second.
    scaling: number of instances (min, max), and invocations per instance and minute to aim at (target). null, the
      default, keeps instance_count. An update of the model starts from instance_count again. Burstable types (ml.t2)
      cannot scale.
    serverless: memory (MB) and concurrent invocations in place of instances; billed by request, cold starts of seconds,
      no data capture. null by default.
    capture_percentage: share of requests and answers kept under capture/ (percent). 100 by default, because drift
      reports need them and a picture is a few KB; 0 switches capture off.
    blue_green: how an update moves the traffic to new instances: "canary" (percent of it, then the rest) or "linear"
      (percent by percent), with wait_seconds between the steps; until it is done, both fleets are billed. null, the
      default, moves all of it as soon as the new instances answer. To go back from "canary" or "linear", set
      { traffic = "all_at_once" }: SageMaker keeps the last way that it was given, so with null every plan would show
      the difference again.
  EOT

  validation {
    condition = can(regex("^ml[.][a-z0-9-]+[.][a-z0-9]+$", var.endpoint.instance_type))
    error_message = join(" ", [
      "endpoint.instance_type is \"${var.endpoint.instance_type}\":",
      "SageMaker's names look like ml.m5.large.",
    ])
  }
  validation {
    condition = !can(regex("^ml[.][a-z]+[0-9]+[a-z]*g[a-z]*[.]", var.endpoint.instance_type))
    error_message = join(" ", [
      "endpoint.instance_type is \"${var.endpoint.instance_type}\", a Graviton type: the serving image is built for",
      "linux/amd64; use ml.m5.large or another x86 type.",
    ])
  }
  validation {
    condition = (
      var.endpoint.instance_count >= 1 && floor(var.endpoint.instance_count) == var.endpoint.instance_count
    )
    error_message = join(" ", [
      "endpoint.instance_count is ${var.endpoint.instance_count}: use a whole number of 1 or more;",
      "to switch the endpoint off set enabled = false.",
    ])
  }
  validation {
    condition = var.endpoint.scaling == null || try(
      var.endpoint.scaling.min >= 1 &&
      var.endpoint.scaling.max >= var.endpoint.scaling.min &&
      var.endpoint.scaling.target > 0,
      false,
    )
    error_message = join(" ", [
      "endpoint.scaling is ${jsonencode(var.endpoint.scaling)}: it needs 1 <= min <= max and a target above 0;",
      "SageMaker cannot scale such an endpoint to zero.",
    ])
  }
  validation {
    condition = var.endpoint.scaling == null || !startswith(var.endpoint.instance_type, "ml.t2.")
    error_message = join(" ", [
      "endpoint.scaling is set and endpoint.instance_type is \"${var.endpoint.instance_type}\": SageMaker does not",
      "scale burstable types; use ml.m5.large, or scaling = null.",
    ])
  }
  validation {
    condition = var.endpoint.scaling == null || var.endpoint.serverless == null
    error_message = join(" ", [
      "endpoint.scaling and endpoint.serverless are both set: a serverless endpoint scales by itself up to",
      "max_concurrency; remove scaling.",
    ])
  }
  validation {
    condition = var.endpoint.serverless == null || try(
      contains([1024, 2048, 3072, 4096, 5120, 6144], var.endpoint.serverless.memory_mb) &&
      var.endpoint.serverless.max_concurrency >= 1 &&
      var.endpoint.serverless.max_concurrency <= 200,
      false,
    )
    error_message = join(" ", [
      "endpoint.serverless is ${jsonencode(var.endpoint.serverless)}: memory_mb must be 1024, 2048, 3072, 4096, 5120",
      "or 6144, and max_concurrency 1 to 200.",
    ])
  }
  validation {
    condition = (
      var.endpoint.capture_percentage >= 0 &&
      var.endpoint.capture_percentage <= 100 &&
      floor(var.endpoint.capture_percentage) == var.endpoint.capture_percentage
    )
    error_message = join(" ", [
      "endpoint.capture_percentage is ${var.endpoint.capture_percentage}: use a whole number",
      "of 0 (off) to 100 percent.",
    ])
  }
  validation {
    condition = var.endpoint.serverless == null || var.endpoint.capture_percentage == 0
    error_message = join(" ", [
      "endpoint.capture_percentage is ${var.endpoint.capture_percentage} and endpoint.serverless is set: SageMaker",
      "captures no data on serverless endpoints; set capture_percentage = 0, or remove serverless.",
    ])
  }
  validation {
    condition = var.endpoint.blue_green == null || (
      try(var.endpoint.blue_green.traffic, "") == "all_at_once"
      ? var.endpoint.blue_green.percent == null && var.endpoint.blue_green.wait_seconds == 0
      : try(
        contains(["canary", "linear"], var.endpoint.blue_green.traffic) &&
        contains(range(10, 51), var.endpoint.blue_green.percent) &&
        var.endpoint.blue_green.wait_seconds >= 0 && var.endpoint.blue_green.wait_seconds <= 3600,
        false,
      )
    )
    error_message = join(" ", [
      "endpoint.blue_green is ${jsonencode(var.endpoint.blue_green)}: SageMaker moves traffic as \"canary\" or",
      "\"linear\", in steps of 10 to 50 percent, and waits 0 to 3600 seconds between them;",
      "or as \"all_at_once\", without percent and wait_seconds.",
    ])
  }
}

# What trains

variable "training_image_uri" {
  type        = string
  default     = null
  description = <<-EOT
    Image that training jobs run in: a container with the SageMaker training toolkit, PyTorch and CUDA, in ECR.
    null, the default, takes AWS's PyTorch container 2.14.0-cu133-amzn2023-sagemaker (patched until September 2027) from
    account 763104351884 in this region; regions with another registry account need the whole address.
  EOT

  validation {
    condition = var.training_image_uri == null || can(regex(
      "^[0-9]{12}[.]dkr[.]ecr[.][a-z0-9-]+[.][^/]+/[a-z0-9][a-z0-9/._-]*(:[A-Za-z0-9_.-]+|@sha256:[0-9a-f]{64})$",
      var.training_image_uri,
    ))
    error_message = join(" ", [
      "training_image_uri is ${jsonencode(var.training_image_uri)}: SageMaker pulls training images from ECR by tag",
      "or digest, such as 763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.14.0-cu133-amzn2023-sagemaker;",
      "set it to null for that one.",
    ])
  }
}

# Who hears about it

variable "subscribers" {
  type        = map(list(string))
  default     = {}
  description = <<-EOT
    E-mail addresses, and the categories of alerts that each receives: low_confidence, rejected and system one by one,
    or "digest", one message that counts all waiting pictures; alarm, batch, drift. Addresses with "alarm" also hear
    when the alert path itself is broken. Each address must confirm once, by the mail that AWS sends.
  EOT

  validation {
    condition = alltrue([
      for address in keys(var.subscribers) : can(regex("^[^@\\s]+@[^@\\s]+[.][^@\\s]+$", address))
    ])
    error_message = "subscribers names ${jsonencode(keys(var.subscribers))}: each key must be an e-mail address."
  }
  validation {
    condition = alltrue([for categories in values(var.subscribers) : length(categories) > 0 && length(setsubtract(
      categories,
      ["low_confidence", "rejected", "system", "alarm", "batch", "drift", "digest"],
    )) == 0])
    error_message = join(" ", [
      "subscribers is ${jsonencode(var.subscribers)}: each address needs at least one of low_confidence, rejected,",
      "system, alarm, batch, drift, digest; a misspelt category would never be delivered.",
    ])
  }
}

variable "schedules" {
  type = object({
    digest_hours      = optional(number, 24)
    drift_hours       = optional(number, 24)
    stale_after_hours = optional(number)
  })
  default     = {}
  nullable    = false
  description = <<-EOT
    How often the deployment looks at itself.
    digest_hours: hours between two digests of what waits, counted from the apply that made the schedule. 24, the
      default, is one message a day; there is none while nothing waits.
    drift_hours: hours between two comparisons with the model's baseline, each of the pictures decided in that time, 1
      to 168. 24 by default; use 168 where fewer than 50 pictures come in a day, which are too few to judge.
    stale_after_hours: hours without a new picture after which an alarm says that the stream has run dry, 1 to 168.
      null, the default, sets no such alarm: many deployments sleep at night or get their pictures in batches.
  EOT

  validation {
    condition = alltrue([
      for hours in values(var.schedules) : hours >= 1 && hours <= 744 && floor(hours) == hours if hours != null
    ])
    error_message = "schedules is ${jsonencode(var.schedules)}: use whole hours, 1 to 744 (a month)."
  }
  validation {
    condition = var.schedules.drift_hours <= 168
    error_message = join(" ", [
      "schedules.drift_hours is ${var.schedules.drift_hours}: CloudWatch's alarms look back a week at most,",
      "so use up to 168 hours.",
    ])
  }
  validation {
    condition = try(var.schedules.stale_after_hours <= 168, true)
    error_message = join(" ", [
      "schedules.stale_after_hours is ${coalesce(var.schedules.stale_after_hours, 0)}: CloudWatch's alarms look back",
      "a week at most, so use up to 168 hours, or null for no such alarm.",
    ])
  }
}

variable "runbook_url" {
  type        = string
  default     = "docs/operations.md"
  description = <<-EOT
    Where alerts send their readers: the address of docs/operations.md as your team reads it, without a fragment.
    The default is the file's place in this repository, which a phone cannot open.
  EOT

  validation {
    condition = length(trimspace(var.runbook_url)) > 0 && !strcontains(var.runbook_url, "#")
    error_message = join(" ", [
      "runbook_url is \"${var.runbook_url}\": give the page's address without \"#...\";",
      "each alert adds its own section.",
    ])
  }
}

variable "monthly_budget_usd" {
  type        = number
  default     = null
  description = <<-EOT
    US dollars a month that the project may cost in this account, including its other environments there. Subscribers
    of "alarm" get a mail when 80 percent are spent and when the forecast exceeds the budget. AWS counts by the tag
    "project", once an administrator has activated it as a cost allocation tag. null, the default, sets no budget.
  EOT

  validation {
    condition = var.monthly_budget_usd == null || try(var.monthly_budget_usd > 0, false)
    error_message = join(" ", [
      "monthly_budget_usd is ${coalesce(var.monthly_budget_usd, 0)}: give US dollars above 0, or null for no budget;",
      "`make plan` estimates what a month costs.",
    ])
  }
  validation {
    condition = var.monthly_budget_usd == null || length([
      for categories in values(var.subscribers) : categories if contains(categories, "alarm")
    ]) <= 10
    error_message = join(" ", [
      "monthly_budget_usd is ${coalesce(var.monthly_budget_usd, 0)} and more than ten addresses in subscribers",
      "receive \"alarm\": a budget writes to ten addresses at most;",
      "use a mailing list's address instead, or set the budget to null.",
    ])
  }
  validation {
    condition = var.monthly_budget_usd == null || contains(flatten(values(var.subscribers)), "alarm")
    error_message = join(" ", [
      "monthly_budget_usd is ${coalesce(var.monthly_budget_usd, 0)} and nobody in subscribers receives \"alarm\": the",
      "budget's mails would reach nobody; add the category to an address, or set the budget to null.",
    ])
  }
}

# How long, how safe

variable "log_retention_days" {
  type        = number
  default     = 30
  description = "Days that logs are kept. 30 covers what is found after a holiday; the ledger keeps failures longer."

  validation {
    condition = contains(
      [
        1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
      ],
      var.log_retention_days,
    )
    error_message = join(" ", [
      "log_retention_days is ${var.log_retention_days}, which CloudWatch Logs does not offer: use 1, 3, 5, 7, 14, 30,",
      "60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653.",
    ])
  }
}

variable "ledger_retention_days" {
  type        = number
  default     = 365
  description = <<-EOT
    Days that a picture's row in the ledger is kept once nobody has to look at it; also for captured requests and batch
    results. With 365 this year's figures can be compared with last year's.
  EOT

  validation {
    condition     = var.ledger_retention_days >= 1 && floor(var.ledger_retention_days) == var.ledger_retention_days
    error_message = "ledger_retention_days is ${var.ledger_retention_days}: use a whole number of days, 1 or more."
  }
}

variable "protect_data" {
  type        = bool
  default     = true
  description = <<-EOT
    true, the default: terraform destroy refuses to delete the ledger, and a bucket or image repository that still holds
    something; a deleted key can be rescued for 30 days. false: destroy leaves nothing behind.
  EOT
}

variable "existing_key_arn" {
  type        = string
  default     = null
  description = <<-EOT
    ARN of a symmetric KMS key to use in place of one of the project's own (null, the default, creates one with
    rotation, for about $1 a month). Its policy must let IAM policies of this account decide, and admit CloudWatch Logs
    and CloudWatch as modules/key does. The roles of terraform/bootstrap recognise a key by its tags project and
    environment: set both on it.
  EOT

  validation {
    condition = var.existing_key_arn == null || can(regex(
      "^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$",
      var.existing_key_arn,
    ))
    error_message = join(" ", [
      "existing_key_arn is ${jsonencode(var.existing_key_arn)}: give the ARN of a key, not of an alias;",
      "see: aws kms describe-key --key-id alias/NAME --query KeyMetadata.Arn.",
    ])
  }
}

variable "permissions_boundary_arn" {
  type        = string
  default     = null
  description = <<-EOT
    ARN of the IAM policy that bounds every role created here, where your organisation demands one.
    null, the default, sets none.
  EOT

  validation {
    condition = var.permissions_boundary_arn == null || can(regex(
      "^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$",
      var.permissions_boundary_arn,
    ))
    error_message = join(" ", [
      "permissions_boundary_arn is ${jsonencode(var.permissions_boundary_arn)}: give the ARN of an IAM policy;",
      "see: aws iam list-policies --scope Local --query 'Policies[].Arn'.",
    ])
  }
}

# Build

variable "package_dir" {
  type        = string
  default     = "../build/aws"
  description = <<-EOT
    Folder of the packaged functions (zips and manifest.json), relative to terraform/.
    `make package` builds the default for Lambda; the one-machine AWS uses ../build/local.
  EOT

  validation {
    condition = fileexists("${var.package_dir}/manifest.json") && alltrue([
      for name in local.folders : fileexists("${var.package_dir}/${name}.zip")
    ])
    error_message = join(" ", [
      "package_dir is \"${var.package_dir}\", where manifest.json or a function's zip is missing: run `make package`",
      "first (for the one-machine AWS: `scones package --target local`).",
    ])
  }
}
