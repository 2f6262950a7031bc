@noskip
Feature: What people entrust to the bucket and the ledger stays theirs

  Scenario: Buckets encrypt with a KMS key
    Given I have aws_s3_bucket_server_side_encryption_configuration defined
    Then it must have rule
    Then it must have apply_server_side_encryption_by_default
    Then it must have sse_algorithm
    And its value must be aws:kms

  Scenario Outline: Buckets are never public
    Given I have aws_s3_bucket_public_access_block defined
    Then it must have <setting>
    And its value must be true

    Examples:
      | setting                 |
      | block_public_acls       |
      | block_public_policy     |
      | ignore_public_acls      |
      | restrict_public_buckets |

  Scenario: Buckets keep overwritten objects
    Given I have aws_s3_bucket_versioning defined
    Then it must have versioning_configuration
    Then it must have status
    And its value must match the "Enabled" regex

  Scenario: Buckets refuse requests without TLS
    Given I have aws_s3_bucket_policy defined
    Then it must have policy
    Then it must have Statement
    Then it must have Condition
    Then it must have Bool
    Then it must have aws:SecureTransport
    And its value must be false

  Scenario Outline: The ledger is encrypted and can be restored
    Given I have aws_dynamodb_table defined
    Then it must have <protection>
    Then it must have enabled
    And its value must be true

    Examples:
      | protection             |
      | server_side_encryption |
      | point_in_time_recovery |

  Scenario: Keys are rotated
    Given I have aws_kms_key defined
    Then it must have enable_key_rotation
    And its value must be true
