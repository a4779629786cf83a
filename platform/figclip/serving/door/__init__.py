"""What a request passes before it is answered: keys, rates, deadlines, one shape of error."""
