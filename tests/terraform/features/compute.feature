@noskip
Feature: Functions, state machines and the endpoint can be watched and reach no further than they must

  Scenario: Logs are encrypted with the project's own key
    Given I have aws_cloudwatch_log_group defined
    Then it must have kms_key_id
    And its value must match the "^arn:aws:kms:" regex

  Scenario: In production, logs are kept for a year and not for ever
    Given I have aws_cloudwatch_log_group defined
    Then it must have retention_in_days
    And its value must be 365

  Scenario: Functions log as JSON
    Given I have aws_lambda_function defined
    Then it must have logging_config
    Then it must have log_format
    And its value must be JSON

  Scenario: Functions are traced
    Given I have aws_lambda_function defined
    Then it must have tracing_config
    Then it must have mode
    And its value must be Active

  Scenario: Each change of a function is a version, so that the alias can go back
    Given I have aws_lambda_function defined
    Then it must have publish
    And its value must be true

  Scenario: State machines log failures with what led to them
    Given I have aws_sfn_state_machine defined
    Then it must have logging_configuration
    Then it must have include_execution_data
    And its value must be true

  Scenario: State machines do not log every picture
    Given I have aws_sfn_state_machine defined
    Then it must have logging_configuration
    Then it must have level
    And its value must be ERROR

  Scenario: State machines are traced
    Given I have aws_sfn_state_machine defined
    Then it must have tracing_configuration
    Then it must have enabled
    And its value must be true

  Scenario: The model's container cannot reach the network
    Given I have aws_sagemaker_model defined
    Then it must have enable_network_isolation
    And its value must be true

  Scenario: What the model is asked and answers is kept
    Given I have aws_sagemaker_endpoint_configuration defined
    Then it must have data_capture_config
    Then it must have enable_capture
    And its value must be true

  Scenario: All of it is kept
    Given I have aws_sagemaker_endpoint_configuration defined
    Then it must have data_capture_config
    Then it must have initial_sampling_percentage
    And its value must be 100

  Scenario Outline: The endpoint's disk and what is captured are encrypted with the project's own key
    Given I have aws_sagemaker_endpoint_configuration defined
    Then it must have <key>
    And its value must match the "^arn:aws:kms:" regex

    Examples:
      | key         |
      | kms_key_arn |
      | kms_key_id  |

  Scenario: Images are named for good
    Given I have aws_ecr_repository defined
    Then it must have image_tag_mutability
    And its value must be IMMUTABLE

  Scenario: Images are scanned
    Given I have aws_ecr_repository defined
    Then it must have image_scanning_configuration
    Then it must have scan_on_push
    And its value must be true

  Scenario: Images are encrypted with a KMS key
    Given I have aws_ecr_repository defined
    Then it must have encryption_configuration
    Then it must have encryption_type
    And its value must be KMS

  Scenario: Images are encrypted with the project's own key
    Given I have aws_ecr_repository defined
    Then it must have encryption_configuration
    Then it must have kms_key
    And its value must match the "^arn:aws:kms:" regex

  Scenario: In production, destroy leaves a repository that holds images
    Given I have aws_ecr_repository defined
    Then it must have force_delete
    And its value must be false
