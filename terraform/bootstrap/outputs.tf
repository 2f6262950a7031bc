output "backend" {
  description = "Where this state itself goes: write it to backend.tf and run `terraform init -migrate-state`."
  value       = <<-EOT
    terraform {
      backend "s3" {
        bucket       = "${aws_s3_bucket.state.bucket}"
        key          = "bootstrap/terraform.tfstate"
        region       = "${var.region}"
        encrypt      = true
        use_lockfile = true
      }
    }
  EOT
}

output "state_bucket" {
  description = "For `bucket` in terraform/environments/*.s3.tfbackend."
  value       = aws_s3_bucket.state.bucket
}

output "role_arns" {
  description = "Roles for GitHub: AWS_PLAN_ROLE_ARN of the repository, and the apply role of each GitHub environment."
  value       = { for name, role in aws_iam_role.github : name => role.arn }
}

output "deploy_policy_arns" {
  description = "Policies for people who deploy, by environment, in addition to the read policies."
  value = { for name in var.environments : name => [
    for policy in [aws_iam_policy.access, aws_iam_policy.deploy, aws_iam_policy.deploy_watch] : policy[name].arn
  ] }
}

output "destroy_policy_arns" {
  description = "Policies for people who may destroy an environment's data, by environment, in addition to the others."
  value       = { for name, policy in aws_iam_policy.destroy : name => policy.arn }
}

output "read_policy_arns" {
  description = "Policies for people who plan, by environment."
  value = { for name in var.environments : name => [
    for policy in [aws_iam_policy.environment_read, aws_iam_policy.read_watch] : policy[name].arn
  ] }
}

output "permissions_boundary_arns" {
  description = <<-EOT
    For permissions_boundary_arn in terraform/environments/*.tfvars, by environment: the deploy policies make no role
    without it.
  EOT
  value       = { for name, policy in aws_iam_policy.environment_boundary : name => policy.arn }
}
