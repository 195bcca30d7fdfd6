/** Who is meant, where people stand beside others who may have the same name. */
export const toldApart = ({ name, email }: { name: string; email: string }): string => (name ? `${name} (${email})` : email);
