output "name" {
  description = "Name of the endpoint; null while there is none."
  value       = one([for endpoint in aws_sagemaker_endpoint.this : endpoint.name])
}

output "repository_url" {
  description = "Where serving images are pushed."
  value       = aws_ecr_repository.serving.repository_url
}
