output "prefix" {
  description = "First part of every resource's name."
  value       = local.prefix
}

output "region" {
  description = "AWS region of every resource."
  value       = var.region
}

output "bucket" {
  description = "Bucket of pictures (incoming/, submitted/), training/, models/, capture/ and results/ (batches)."
  value       = module.storage.bucket
}

output "ledger_table" {
  description = "DynamoDB table with one row for each picture's version."
  value       = module.storage.ledger
}

output "ledger_retention_days" {
  description = "Days after its last decision that a row of the ledger expires; one that waits for a person stays."
  value       = var.ledger_retention_days
}

output "state_machine_arn" {
  description = "State machine that classifies one picture."
  value       = module.state_machine["classify"].arn
}

output "batch_state_machine_arn" {
  description = "State machine that classifies the pictures of a manifest."
  value       = module.state_machine["batch"].arn
}

output "function_names" {
  description = "Names of the functions by folder, for logs and metrics."
  value       = { for folder, function in module.function : folder => function.name }
}

output "endpoint_name" {
  description = "Endpoint that serves the model; null while model is null."
  value       = module.endpoint.name
}

output "labels" {
  description = "Classes that the model distinguishes, in the order of its answers; empty while model is null."
  value       = flatten([for model in var.model[*] : model.labels])
}

output "image_repository_url" {
  description = "Where `scones image` pushes the serving image."
  value       = module.endpoint.repository_url
}

output "training_role_arn" {
  description = "Role that training jobs assume; it reaches only jobs whose names begin with its own."
  value       = module.training.role_arn
}

output "training_image_uri" {
  description = "Image that `scones train` runs training jobs in."
  value       = local.training_image_uri
}

output "alerts_topic_arn" {
  description = "Topic of all alerts; subscriptions choose by the attribute \"category\"."
  value       = module.alerts.alerts_topic_arn
}

output "alarms_topic_arn" {
  description = "Unfiltered topic for alarms on the alert path itself."
  value       = module.alerts.alarms_topic_arn
}

output "alert_dead_letters_url" {
  description = "Queue of alerts that could not be sent; it should be empty."
  value       = module.alerts.dead_letters_url
}

output "trigger_dead_letters_url" {
  description = "Queue of S3 events that started no execution; it should be empty."
  value       = module.state_machine["classify"].trigger_dead_letters_url
}

output "key_arn" {
  description = "KMS key that encrypts pictures, models, ledger, logs and alerts."
  value       = local.key_arn
}
