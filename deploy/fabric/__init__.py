"""Provision the stack on the FABRIC testbed: `python -m deploy.fabric plan|up|status|down`."""
