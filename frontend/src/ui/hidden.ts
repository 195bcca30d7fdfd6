/** What stands in the place of what is hidden (domain/src/personal.rs, secret.rs). */
export const HIDDEN = "•••";
