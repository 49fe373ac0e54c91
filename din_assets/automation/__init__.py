"""What starts runs by itself: a schedule, a sensor, conditions; off until it is switched on."""
