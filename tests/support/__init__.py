"""What tests share: small artifacts made by hand, a real server process."""
