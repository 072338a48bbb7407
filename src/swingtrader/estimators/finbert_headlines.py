"""Headlines written to check a sentiment classifier by, twenty a label."""

from __future__ import annotations

POSITIVE = (
    "Chipmaker beats estimates and raises its full-year outlook",
    "Profit rises 24% as margins widen",
    "Shares surge after drug gains approval",
    "Retailer posts record sales in the holiday quarter",
    "Bank lifts its dividend and announces a $10 billion buyback",
    "Airline upgraded to buy on strong demand",
    "Software maker tops forecasts for a sixth straight quarter",
    "Automaker wins a large contract for electric vans, shares rally",
    "Oil producer's cash flow jumps as costs fall",
    "Carmaker's deliveries beat expectations",
    "Upgrade: analysts see strong growth ahead for cloud leader",
    "Insurer returns to profit, raises guidance",
    "Biotech stock soars on positive trial results",
    "Utility secures favorable rate ruling, boosting earnings for years to come",
    "Same-store sales climb more than expected",
    "Miner strikes gold: reserves up by a third",
    "Payments firm gains market share as spending accelerates",
    "Shipping group doubles its profit",
    "Streaming service adds 9 million subscribers, far above what Wall Street had expected",
    "Steelmaker's order book at an all-time high",
)
NEGATIVE = (
    "Chipmaker misses estimates and cuts its full-year outlook",
    "Profit drops 31% as costs mount",
    "Shares plunge after drug fails late-stage trial",
    "Retailer warns of weak holiday sales",
    "Bank suspends its dividend after surprise loss",
    "Airline downgraded to sell on slowing demand",
    "Software maker faces a lawsuit over a data breach affecting millions of its customers",
    "Automaker recalls 1.2 million vehicles over faulty brakes",
    "Oil producer loses a large contract, shares slump",
    "Carmaker's deliveries fall short",
    "Downgrade: analysts see little relief for indebted landlord",
    "Insurer posts worst quarter in a decade on storm claims",
    "Biotech stock collapses as regulator rejects its application",
    "Utility files for bankruptcy protection",
    "Same-store sales decline for a fourth quarter",
    "Miner halts production after fatal accident",
    "Payments firm under investigation for accounting fraud",
    "Shipping group's profit halves",
    "Streaming service sheds subscribers, cuts 2,000 jobs and abandons its forecast for the year",
    "Steelmaker's orders dry up",
)
NEUTRAL = (
    "Chipmaker to report third-quarter results on Thursday",
    "Company names a new chief financial officer",
    "Shares little changed ahead of the central bank's decision",
    "Retailer to hold its annual meeting in May",
    "Bank moves its head office to Charlotte",
    "Airline reiterated at hold",
    "Software maker to present at a technology conference in San Francisco next week",
    "Automaker appoints an independent director",
    "Oil producer files its quarterly report with the SEC",
    "Carmaker sets the record date for its stock split",
    "What to watch in markets this week",
    "Insurer publishes its financial calendar",
    "Biotech to host a conference call",
    "Utility maintains its quarterly dividend of 42 cents a share",
    "Trading volume in line with its average",
    "Miner completes the transfer of its listing",
    "Payments firm renews its agreement with an auditor",
    "Shipping group changes its name",
    "Streaming service says its chief executive will speak at an industry event in Los Angeles",
    "Steelmaker's board to meet on Monday",
)
HEADLINES = (*POSITIVE, *NEGATIVE, *NEUTRAL)
LABELS = tuple(
    label
    for label, texts in (("positive", POSITIVE), ("negative", NEGATIVE), ("neutral", NEUTRAL))
    for _ in texts
)
