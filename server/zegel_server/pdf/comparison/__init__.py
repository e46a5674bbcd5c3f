"""Looking at pages: drawn, and compared as somebody who reads them would."""
