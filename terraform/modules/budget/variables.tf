variable "name" {
  type        = string
  description = "Name of the budget."
}

variable "limit_usd" {
  type        = number
  description = "US dollars a month."
}

variable "project" {
  type        = string
  description = "Value of the cost allocation tag \"project\", whose resources count."
}

variable "subscribers" {
  type        = list(string)
  description = "E-mail addresses that get a mail when 80 percent are spent and when the forecast reaches the limit."
}
