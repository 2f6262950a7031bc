output "role_arn" {
  description = "ARN of the role that training jobs assume."
  value       = aws_iam_role.job.arn
}
