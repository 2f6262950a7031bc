# No state can catch that its own execution timed out or was aborted, and States.ALL does not include two errors:
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
resource "aws_cloudwatch_event_rule" "unfinished" {
  name        = var.rules.unfinished.name
  description = "Settles executions that none of their own states could settle"

  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      stateMachineArn = var.state_machine_arns
      "$or" = [
        { status = ["ABORTED", "TIMED_OUT"] },
        { status = ["FAILED"], error = ["States.DataLimitExceeded", "States.Runtime"] },
      ]
    }
  })
}

resource "aws_cloudwatch_event_target" "settler" {
  rule      = aws_cloudwatch_event_rule.unfinished.name
  target_id = "settler"
  arn       = var.reconciler_arn
  role_arn  = aws_iam_role.unfinished.arn

  retry_policy {
    maximum_event_age_in_seconds = 86400 # the picture needs a row and an alert, however late
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.dead_letters.arn
  }

  depends_on = [aws_iam_role_policy.unfinished]
}

resource "aws_iam_role" "unfinished" {
  name                 = var.rules.unfinished.name
  description          = "Assumed by the rule ${var.rules.unfinished.name} to start the settling state machine"
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
          ArnLike      = { "aws:SourceArn" = var.rules.unfinished.arn }
        }
      },
    ]
  })
}

resource "aws_iam_role_policy" "unfinished" {
  name = "permissions"
  role = aws_iam_role.unfinished.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "StartExecutions"
        Effect   = "Allow"
        Action   = ["states:StartExecution"]
        Resource = [var.reconciler_arn]
      },
    ]
  })
}
