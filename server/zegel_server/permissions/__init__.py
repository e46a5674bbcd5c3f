"""Who may do what: roles, their bindings, and the decisions that Casbin makes on them."""
