"""Markets and an exchange that exist only here: for demos, studies and rehearsals."""
