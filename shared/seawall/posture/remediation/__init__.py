"""Repairs: what to change for a finding, in JSON patch, kubectl, Helm and Terraform words, and in the file itself."""
