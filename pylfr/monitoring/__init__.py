"""What operators watch: numbers for Prometheus, health, and logs that programs read. None of it names a person."""
