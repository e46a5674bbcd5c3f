"""Who may do what: roles, their bindings, and the decisions that Casbin takes on them."""
