"""What lensa needs in an account, as one CloudFormation stack: made, changed and removed."""
