/** How many migrations there are: `user_version` of a file that is up to date. For who wants to know no more than that. */
export const SCHEMA_VERSION = 3;
