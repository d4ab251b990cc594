"""The whole product on one machine: sandbox mail server, Redis, agent, worker and panel."""
