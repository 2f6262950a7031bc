@noskip
Feature: Roles belong to services, and each may do little

  Scenario: Only AWS services assume roles
    Given I have aws_iam_role defined
    Then it must have assume_role_policy
    Then it must have Statement
    Then it must have Principal
    Then it must have Service
    And its value must match the "^(events|lambda|sagemaker|scheduler|states)[.]amazonaws[.]com$" regex

  Scenario: No role may do everything that a service offers
    Given I have aws_iam_role_policy defined
    Then it must have policy
    Then it must have Statement
    Then it must have Action
    And its value must not match the "[*]" regex

  Scenario: Functions are invoked for one named resource
    Given I have aws_lambda_permission defined
    Then it must have source_arn
    And its value must match the "^arn:aws:[a-z]+:[a-z0-9-]+:[0-9]{12}:[^*]+$" regex
