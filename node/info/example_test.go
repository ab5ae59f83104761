package info_test

import (
	"fmt"

	"github.com/ashlardb/ashlar/node/config"
	"github.com/ashlardb/ashlar/node/info"
)

// A node's options: the server asks for no more of them than the names.
type options struct {
	Namespaces []struct {
		Name string `config:",name"`
	} `config:"namespace"`
}

func ExampleServer_Answer() {
	var o options
	cfg, err := config.Parse(`
		service {
			cluster-name demo
		}
		namespace test {
		}`, &o)
	if err != nil {
		fmt.Println(err)
		return
	}
	server := info.New(info.Sources{
		NodeID:     0xBB9,
		ClusterKey: 1,
		Config:     cfg,
		Namespaces: []info.Namespace{{Name: o.Namespaces[0].Name}},
	})
	var conn info.Conn
	fmt.Printf("%s", server.Answer(nil, &conn, []byte("node\nnamespaces\ncluster-name\nwho-knows\n")))
	// Output:
	// node	BB9
	// namespaces	test
	// cluster-name	demo
	// who-knows	ERROR:4:unrecognized command
}
