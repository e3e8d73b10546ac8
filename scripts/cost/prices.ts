/** One price of the list. */
export interface Price {
  /** For `per` of `unit`. */
  dollars: number;
  per: number;
  unit: string;
  region: string;
  /** The provider's own page. */
  page: string;
  /** When that page said so, and where that is known from. */
  seen: string;
}

const REGION = "us-central1";
const RUN_PAGE = "https://cloud.google.com/run/pricing";
const STORAGE_PAGE = "https://cloud.google.com/storage/pricing";
const PUBSUB_PAGE = "https://cloud.google.com/pubsub/pricing";
const SCHEDULER_PAGE = "https://cloud.google.com/scheduler/pricing";
const SEEN_RUN = "2025, repeated by https://cloudchipr.com/blog/cloud-run-pricing";
const SEEN_STORAGE = "2026-09-20, transcribed in https://github.com/api-evangelist/gcp-cloud-storage";
const SEEN_PUBSUB = "2026-09-20, transcribed in https://github.com/api-evangelist/google";
const SEEN_SCHEDULER = "in an undated copy, for 31 days";

/** Prices in US dollars without tax, discounts and free tiers. Functions are those of Cloud Run with request-based billing, the usual kind. */
export const PRICES = {
  request: { dollars: 0.4, per: 1e6, unit: "requests to a function", region: REGION, page: RUN_PAGE, seen: SEEN_RUN },
  vcpuSecond: { dollars: 0.000024, per: 1, unit: "vCPU-second of a function", region: REGION, page: RUN_PAGE, seen: SEEN_RUN },
  gibSecond: { dollars: 0.0000025, per: 1, unit: "GiB-second of a function's memory", region: REGION, page: RUN_PAGE, seen: SEEN_RUN },
  classAOperation: {
    dollars: 0.005,
    per: 1e3,
    unit: "class A operations, Standard",
    region: REGION,
    page: STORAGE_PAGE,
    seen: SEEN_STORAGE,
  },
  classBOperation: {
    dollars: 0.0004,
    per: 1e3,
    unit: "class B operations, Standard",
    region: REGION,
    page: STORAGE_PAGE,
    seen: SEEN_STORAGE,
  },
  storedGibHour: {
    dollars: 0.000027397,
    per: 1,
    unit: "GiB-hour stored, Standard",
    region: REGION,
    page: STORAGE_PAGE,
    seen: SEEN_STORAGE,
  },
  pubsubTib: { dollars: 40, per: 1, unit: "TiB published or delivered", region: "any", page: PUBSUB_PAGE, seen: SEEN_PUBSUB },
  schedulerJobMonth: { dollars: 0.1, per: 1, unit: "scheduler job and month", region: "any", page: SCHEDULER_PAGE, seen: SEEN_SCHEDULER },
} as const satisfies Record<string, Price>;

/** US dollars for so much of what a price is of. */
export function dollarsFor(price: keyof typeof PRICES, amount: number): number {
  const { dollars, per } = PRICES[price];
  return (amount / per) * dollars;
}
