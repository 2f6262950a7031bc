locals {
  jobs = "${var.bucket_arn}/training/${var.name}-*"

  image = regex(
    "^(?P<account>[0-9]{12})[.]dkr[.]ecr[.](?P<region>[a-z0-9-]+)[.][^/]+/(?P<repository>[^:@]+)",
    var.image_uri,
  )
  registry_arn = "arn:${var.partition}:ecr:${local.image.region}:${local.image.account}"
}

resource "aws_iam_role" "job" {
  name                 = var.name
  description          = "Assumed by SageMaker to run the training jobs ${var.name}-*"
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "LetSageMakerAssume"
        Effect    = "Allow"
        Principal = { Service = "sagemaker.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = { StringEquals = { "aws:SourceAccount" = var.account } }
      },
    ]
  })
}

resource "aws_iam_role_policy" "job" {
  name = "permissions"
  role = aws_iam_role.job.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadDataAndCode"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${var.bucket_arn}/training/data/*", "${local.jobs}/source/*", "${local.jobs}/checkpoints/*"]
      },
      {
        Sid       = "FindDataAndCode"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [var.bucket_arn]
        Condition = { StringLike = { "s3:prefix" = ["training/*"] } }
      },
      {
        Sid      = "WriteModelsAndCheckpoints"
        Effect   = "Allow"
        Action   = ["s3:AbortMultipartUpload", "s3:PutObject"]
        Resource = ["${local.jobs}/output/*", "${local.jobs}/checkpoints/*"]
      },
      {
        # SageMaker asks for kms:Encrypt where a job names the key of its output.
        Sid       = "UseKeyOfBucket"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
        Resource  = var.key.resources
        Condition = var.key.conditions_via_s3
      },
      {
        # A token is for the account's whole registry: there is no resource to name.
        Sid      = "LogInToRegistry"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Sid      = "PullImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = ["${local.registry_arn}:repository/${local.image.repository}"]
      },
      {
        # All training jobs of an account share one log group, so no Terraform owns it.
        Sid      = "FindLogGroup"
        Effect   = "Allow"
        Action   = ["logs:CreateLogGroup", "logs:DescribeLogStreams"]
        Resource = [var.log_group_arn, "${var.log_group_arn}:*"]
      },
      {
        Sid    = "WriteLogs"
        Effect = "Allow"
        Action = ["logs:CreateLogStream", "logs:PutLogEvents"]
        # A job's name ends with its date and time: a trailing "*" would include other projects' jobs.
        Resource = ["${var.log_group_arn}:log-stream:${var.name}-????????-??????/*"]
      },
      {
        # Metrics have no resource to name; the condition limits their namespace.
        Sid       = "PutMetrics"
        Effect    = "Allow"
        Action    = ["cloudwatch:PutMetricData"]
        Resource  = ["*"]
        Condition = { StringLike = { "cloudwatch:namespace" = ["/aws/sagemaker/*"] } }
      },
    ]
  })
}
