//! What the services of the shop say to each other: step inputs and outputs, HTTP resources, money, ids.
