locals {
  triggers = { for trigger in var.trigger[*] : trimsuffix(trigger.prefix, "/") => trigger }
}

resource "aws_cloudwatch_event_rule" "object_created" {
  for_each = local.triggers

  name        = each.value.rule
  description = "Starts ${var.name} for each new object under ${each.value.prefix}"
  state       = each.value.enabled ? "ENABLED" : "DISABLED"

  event_pattern = jsonencode({
    source      = ["aws.s3"]
    detail-type = ["Object Created"]
    detail = {
      bucket = { name = [each.value.bucket] }
      object = { key = [{ prefix = each.value.prefix }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "state_machine" {
  for_each = local.triggers

  rule      = aws_cloudwatch_event_rule.object_created[each.key].name
  target_id = "state-machine"
  arn       = aws_sfn_state_machine.this.arn
  role_arn  = aws_iam_role.trigger[each.key].arn

  # A day, EventBridge's longest: a picture is worth waiting for.
  retry_policy {
    maximum_event_age_in_seconds = 86400
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.trigger_dead_letters[each.key].arn
  }

  depends_on = [aws_iam_role_policy.trigger]
}

resource "aws_sqs_queue" "trigger_dead_letters" {
  for_each = local.triggers

  name                      = each.value.dead_letters
  message_retention_seconds = 1209600 # 14 days, the longest
  # Not the project's key: what failed because of the key must still be kept.
  sqs_managed_sse_enabled = true

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "KeepUndeliveredEvents"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = each.value.dead_letters_arn
        Condition = { ArnEquals = { "aws:SourceArn" = each.value.rule_arn } }
      },
      {
        # A denial must cover every action and principal to mean anything.
        Sid       = "DenyWithoutTLS"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = each.value.dead_letters_arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_iam_role" "trigger" {
  for_each = local.triggers

  name                 = each.value.rule
  description          = "Assumed by the rule ${each.value.rule} to start ${var.name}"
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "LetRuleAssume"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sts:AssumeRole"
        Condition = {
          StringEquals = { "aws:SourceAccount" = var.account }
          ArnLike      = { "aws:SourceArn" = each.value.rule_arn }
        }
      },
    ]
  })
}

resource "aws_iam_role_policy" "trigger" {
  for_each = local.triggers

  name = "permissions"
  role = aws_iam_role.trigger[each.key].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "StartExecutions"
        Effect   = "Allow"
        Action   = ["states:StartExecution"]
        Resource = [var.arn]
      },
    ]
  })
}
