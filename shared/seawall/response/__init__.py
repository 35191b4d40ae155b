"""What can be done about an incident: one declaration per action, plans with their inverse, what fits where. Pure."""
