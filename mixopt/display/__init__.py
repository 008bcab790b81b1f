"""Tables and figures as data: whoever knows a result writes it once, `mixopt.report` draws it in every form."""
