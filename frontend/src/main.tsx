import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { ApiError, isAskedAgain, waitBeforeMs } from "./api/client";
import { router } from "./app/router";
import "./app/style.css";

const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({
    // The tenant demands one since a moment ago: who looks is asked anew, and the frame says it.
    onError: (error) => {
      if (error instanceof ApiError && error.code === "SECOND_FACTOR_NEEDED") void queries.invalidateQueries({ queryKey: ["viewer"] });
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 2_000,
      // Whether Crossdock answers is seen by asking it: a browser's idea of being online says nothing of a server in the same building.
      networkMode: "always",
      retry: isAskedAgain,
      retryDelay: waitBeforeMs,
    },
  },
});

const place = document.getElementById("app");
if (place) {
  createRoot(place).render(
    <StrictMode>
      <QueryClientProvider client={queries}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
