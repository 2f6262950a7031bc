locals {
  # A denial must cover every principal to be of use. SNS refuses "sns:*" in a topic's policy.
  deny_without_tls = {
    Sid       = "DenyWithoutTLS"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sns:Publish"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }
}

# send_alert is the only publisher; its own role lets it in.
resource "aws_sns_topic" "alerts" {
  name              = var.topics.alerts.name
  kms_master_key_id = var.key_arn

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge(local.deny_without_tls, { Resource = var.topics.alerts.arn })]
  })
}

resource "aws_sns_topic" "alarms" {
  name              = var.topics.alarms.name
  kms_master_key_id = var.key_arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      merge(local.deny_without_tls, { Resource = var.topics.alarms.arn }),
      {
        Sid       = "LetAlarmsPublish"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = var.topics.alarms.arn
        Condition = {
          StringEquals = { "aws:SourceAccount" = var.account }
          ArnLike      = { "aws:SourceArn" = values(var.alert_path_alarm_arns) }
        }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "alerts" {
  for_each = var.subscribers

  topic_arn     = aws_sns_topic.alerts.arn
  protocol      = "email"
  endpoint      = each.key
  filter_policy = jsonencode({ category = sort(each.value) })
}

# Alarms carry no attributes, so a filter would drop them silently.
resource "aws_sns_topic_subscription" "alarms" {
  for_each = { for address, categories in var.subscribers : address => categories if contains(categories, "alarm") }

  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}
