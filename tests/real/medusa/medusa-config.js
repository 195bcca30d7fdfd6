// A Medusa shop as small as it gets: one process, one PostgreSQL database, no Redis, no admin pages.
// Everything that differs between two runs comes from the environment, so that several shops can stand side by side.
const { defineConfig, loadEnv } = require("@medusajs/framework/utils");

// A .env file in this folder is read too; what is set in the environment wins.
loadEnv(process.env.NODE_ENV || "production", __dirname);

// Two secrets that sign this test shop's own log-ins. A real shop sets both.
const { JWT_SECRET = "crossdock-test-shop", COOKIE_SECRET = "crossdock-test-shop" } = process.env;

module.exports = defineConfig({
  projectConfig: {
    // Without "ssl=false" Medusa asks PostgreSQL for TLS, which a database on loopback rarely speaks.
    databaseUrl: process.env.DATABASE_URL,
    databaseDriverOptions: { connection: { ssl: false } },
    http: {
      storeCors: "http://127.0.0.1",
      adminCors: "http://127.0.0.1",
      authCors: "http://127.0.0.1",
      jwtSecret: JWT_SECRET,
      cookieSecret: COOKIE_SECRET,
    },
  },
  // The admin pages would need a build of minutes; Crossdock uses the Admin API only.
  admin: { disable: true },
});
