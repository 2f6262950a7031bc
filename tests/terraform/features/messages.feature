@noskip
Feature: Alerts arrive, nobody else reads them, and what could not be delivered is kept

  Scenario: Topics are encrypted with the project's own key
    Given I have aws_sns_topic defined
    Then it must have kms_master_key_id
    And its value must match the "^arn:aws:kms:" regex

  Scenario: Queues are encrypted, but not with a key that may be what failed
    Given I have aws_sqs_queue defined
    Then it must have sqs_managed_sse_enabled
    And its value must be true

  Scenario: Queues keep what could not be delivered for 14 days
    Given I have aws_sqs_queue defined
    Then it must have message_retention_seconds
    And its value must be 1209600

  Scenario: Events that cannot be delivered go to a queue
    Given I have aws_cloudwatch_event_target defined
    Then it must have dead_letter_config
    Then it must have arn
    And its value must match the "^arn:aws:" regex

  Scenario: Alerts that events ask for are tried again, then kept
    Given I have aws_lambda_function_event_invoke_config defined
    Then it must have destination_config
    Then it must have on_failure
    Then it must have destination
    And its value must match the "^arn:aws:" regex

  Scenario: New pictures are announced
    Given I have aws_s3_bucket_notification defined
    Then it must have eventbridge
    And its value must be true

  Scenario: Alarms lead to the section of the runbook that is about them
    Given I have aws_cloudwatch_metric_alarm defined
    Then it must have alarm_description
    And its value must match the "^.+[.] What to do: .+ [^ ]+#[a-z-]+$" regex

  Scenario: Alarms say what silence means
    Given I have aws_cloudwatch_metric_alarm defined
    Then it must have treat_missing_data
    And its value must match the "^(breaching|ignore|notBreaching)$" regex
