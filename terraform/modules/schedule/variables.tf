variable "rule" {
  type        = object({ name = string, arn = string })
  description = "The rule's name and ARN."
}

variable "description" {
  type        = string
  description = "What the schedule does, in one sentence."
}

variable "hours" {
  type        = number
  description = "Hours between two calls."
}

variable "enabled" {
  type        = bool
  description = "Whether the calls are made."
}

variable "input" {
  type        = string
  description = "What the function is called with: JSON in which <time> stands for the time that the call was due."
}

variable "function" {
  type        = object({ name = string, alias = string, arn = string })
  description = "The function that is called: its name, the alias to invoke, and that alias' ARN."
}

variable "dead_letters_arn" {
  type        = string
  description = "ARN of the queue that keeps calls which could not be delivered."
}

variable "keep_failed" {
  type        = bool
  description = "Whether to keep calls in which the function failed; false where another module does."
}
