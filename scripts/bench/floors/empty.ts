// E: what any program costs.
export {};
