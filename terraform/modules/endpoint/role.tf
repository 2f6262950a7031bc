resource "aws_iam_role" "execution" {
  name                 = var.name
  description          = "Assumed by SageMaker to serve ${var.name}"
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

resource "aws_iam_role_policy" "execution" {
  name = "permissions"
  role = aws_iam_role.execution.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadModels"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${var.bucket.arn}/models/*"]
      },
      {
        Sid       = "FindModels"
        Effect    = "Allow"
        Action    = ["s3:ListBucket"]
        Resource  = [var.bucket.arn]
        Condition = { StringLike = { "s3:prefix" = ["models/*"] } }
      },
      {
        Sid      = "WriteCapture"
        Effect   = "Allow"
        Action   = ["s3:PutObject"]
        Resource = ["${var.bucket.arn}/capture/*"]
      },
      {
        Sid       = "DecryptModelsEncryptCapture"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = var.key.resources
        Condition = var.key.conditions_via_s3
      },
      {
        # The instance's volume is encrypted under a grant, which only an AWS service may pass on.
        Sid       = "GrantKeyToVolume"
        Effect    = "Allow"
        Action    = ["kms:CreateGrant"]
        Resource  = var.key.resources
        Condition = merge(var.key.conditions, { Bool = { "kms:GrantIsForAWSResource" = ["true"] } })
      },
      {
        Sid      = "PullImage"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = [var.repository.arn]
      },
      {
        # A token is for the account's whole registry: there is no resource to name.
        Sid      = "LogInToRegistry"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      },
      {
        Sid      = "WriteLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = [var.log_group_arn, "${var.log_group_arn}:*"]
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
